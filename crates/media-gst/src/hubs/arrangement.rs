//! Where the pictures of a hub's ports go.

use super::layout::{Layout, PortLayout, Style};
use salono_media_api::ElementKey;
use salono_media_api::processing::Place;
use std::collections::{BTreeMap, BTreeSet};

/// Largest side of a canvas that follows a port's picture.
const MAX_SIDE: u32 = 4_096;

/// Where a port without properties is in the order of a blending hub.
const USUAL_Z: i32 = 1;

/// A size in pixels.
pub(super) type Size = (u32, u32);

/// A rectangle in pixels; may lie partly outside of the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// The place of a port's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) port: ElementKey,
    pub(super) rect: Rect,
}

/// How the pictures of a hub are arranged.
#[derive(Debug, Clone)]
pub(super) enum Arrangement {
    /// Of a composite.
    Grid { size: Size, layout: Option<Layout> },
    /// Over one another.
    Blending {
        master: Option<(ElementKey, i32)>,
        places: BTreeMap<ElementKey, (Place, i32)>,
    },
}

impl Default for Arrangement {
    fn default() -> Self {
        Self::blending()
    }
}

impl Arrangement {
    pub(super) fn grid(width: u32, height: u32) -> Self {
        let size = (width.max(2), height.max(2));
        Self::Grid { size, layout: None }
    }

    pub(super) fn blending() -> Self {
        Self::Blending {
            master: None,
            places: BTreeMap::new(),
        }
    }

    pub(super) fn set_layout(&mut self, new: Layout) {
        if let Self::Grid { layout, .. } = self {
            *layout = Some(new);
        }
    }

    pub(super) fn set_master(&mut self, port: ElementKey, z_order: i32) {
        if let Self::Blending { master, .. } = self {
            *master = Some((port, z_order));
        }
    }

    pub(super) fn set_port(&mut self, port: ElementKey, place: Place, z_order: i32) {
        if let Self::Blending { places, .. } = self {
            places.insert(port, (place, z_order));
        }
    }

    /// A port is gone.
    pub(super) fn forget(&mut self, port: ElementKey) {
        match self {
            Self::Grid { layout, .. } => {
                if let Some(layout) = layout {
                    layout.ports.retain(|entry| entry.port != port);
                    layout.main = layout.main.filter(|main| *main != port);
                }
            }
            Self::Blending { master, places } => {
                *master = master.filter(|(of, _)| *of != port);
                places.remove(&port);
            }
        }
    }

    /// Red, green and blue of what no picture covers.
    pub(super) fn background(&self) -> [u8; 3] {
        match self {
            Self::Grid { layout, .. } => layout.as_ref().map_or([0; 3], |it| it.background),
            Self::Blending { .. } => [0; 3],
        }
    }

    /// What is written over the picture of a port; empty for nothing.
    pub(super) fn label(&self, port: ElementKey) -> &str {
        match self {
            Self::Grid {
                layout: Some(layout),
                ..
            } => layout.label(port),
            Self::Grid { layout: None, .. } | Self::Blending { .. } => "",
        }
    }

    /// Whether what a picture leaves of its place hides what is below.
    pub(super) fn is_opaque(&self) -> bool {
        matches!(self, Self::Blending { .. })
    }

    /// Of the canvas, when the pictures of ports have these sizes.
    pub(super) fn size(&self, shown: &BTreeMap<ElementKey, Size>) -> Size {
        match self {
            Self::Grid { size, .. } => *size,
            Self::Blending { master, .. } => {
                let master = master.and_then(|(port, _)| shown.get(&port));
                master.map_or((640, 480), |(width, height)| {
                    let side = |side: &u32| (side & !1).clamp(2, MAX_SIDE);
                    (side(width), side(height))
                })
            }
        }
    }

    /// Places of these ports, in the order in which they are drawn.
    pub(super) fn cells(&self, canvas: Size, shown: &BTreeMap<ElementKey, Size>) -> Vec<Cell> {
        match self {
            Self::Grid { layout: None, .. } => {
                grid(&shown.keys().copied().collect::<Vec<_>>(), canvas)
            }
            Self::Grid {
                layout: Some(layout),
                ..
            } => arranged(layout, canvas, shown),
            Self::Blending { master, places } => {
                let mut cells: Vec<_> = shown
                    .keys()
                    .map(|port| match (master, places.get(port)) {
                        (Some((master, z)), _) if master == port => (*z, *port, WHOLE),
                        (_, Some((place, z))) => (*z, *port, *place),
                        (_, None) => (USUAL_Z, *port, WHOLE),
                    })
                    .collect();
                cells.sort_by_key(|(z, port, _)| (*z, *port));
                let cell = |(_, port, place)| cell(port, place, canvas);
                cells.into_iter().map(cell).collect()
            }
        }
    }
}

const WHOLE: Place = Place {
    x: 0.0,
    y: 0.0,
    width: 1.0,
    height: 1.0,
};

/// A place in pixels, even as 4:2:0 pictures are.
fn cell(port: ElementKey, place: Place, canvas: Size) -> Cell {
    // Shares are within bounds that the object model sets; casts saturate anyway.
    let even =
        |share: f64, side: u32| (share.clamp(-64.0, 64.0) * f64::from(side) / 2.0) as i64 * 2;
    let rect = Rect {
        x: even(place.x, canvas.0),
        y: even(place.y, canvas.1),
        width: even(place.width, canvas.0),
        height: even(place.height, canvas.1),
    };
    Cell { port, rect }
}

/// Row by row, as many columns as rows or one more.
fn grid(ports: &[ElementKey], canvas: Size) -> Vec<Cell> {
    let mut columns = 1;
    while columns * columns < ports.len() {
        columns += 1;
    }
    let rows = ports.len().div_ceil(columns).max(1);
    let (width, height) = (1.0 / columns as f64, 1.0 / rows as f64);
    let place = |at: usize| Place {
        x: (at % columns) as f64 * width,
        y: (at / columns) as f64 * height,
        width,
        height,
    };
    let ports = ports.iter().enumerate();
    ports
        .map(|(at, port)| cell(*port, place(at), canvas))
        .collect()
}

fn arranged(layout: &Layout, canvas: Size, shown: &BTreeMap<ElementKey, Size>) -> Vec<Cell> {
    let said: BTreeSet<_> = layout.ports.iter().map(|entry| entry.port).collect();
    let visible = |entry: &&PortLayout| !entry.hidden && shown.contains_key(&entry.port);
    let listed = layout.ports.iter().filter(visible).map(|entry| entry.port);
    let others = shown.keys().copied().filter(|port| !said.contains(port));
    let mut ports: Vec<_> = listed.chain(others).collect();
    if layout.style == Style::Places {
        let mut placed: Vec<_> = layout.ports.iter().filter(visible).collect();
        placed.sort_by_key(|entry| entry.z_order);
        let cell = |entry: &PortLayout| Some(cell(entry.port, entry.place?, canvas));
        return placed.into_iter().filter_map(cell).collect();
    }
    if layout.style == Style::Grid {
        return grid(&ports, canvas);
    }
    // The main one comes first.
    if let Some(at) = layout
        .main
        .and_then(|main| ports.iter().position(|port| *port == main))
    {
        let main = ports.remove(at);
        ports.insert(0, main);
    }
    let count = ports.len();
    let others = count.saturating_sub(1).max(1) as f64;
    let place = |at: usize| {
        let turn = at.saturating_sub(1) as f64;
        Some(match layout.style {
            Style::SideBySide if count == 1 => WHOLE,
            Style::SideBySide => Place {
                x: if at == 0 { 0.0 } else { 0.5 },
                width: if at < 2 { 0.5 } else { return None },
                ..WHOLE
            },
            Style::Speaker if count == 1 => WHOLE,
            Style::Speaker if at == 0 => Place {
                height: 0.8,
                ..WHOLE
            },
            Style::Speaker => Place {
                x: turn * (1.0 / others).min(0.2),
                y: 0.8,
                width: (1.0 / others).min(0.2),
                height: 0.2,
            },
            Style::PictureInPicture if at > 0 => {
                let side = (1.0 / others).min(0.25);
                Place {
                    x: 1.0 - side,
                    y: 1.0 - side * (turn + 1.0),
                    width: side,
                    height: side,
                }
            }
            Style::PictureInPicture | Style::Grid | Style::Places => WHOLE,
        })
    };
    let ports = ports.into_iter().enumerate();
    ports
        .filter_map(|(at, port)| Some(cell(port, place(at)?, canvas)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rects(arrangement: &Arrangement, ports: u64) -> Vec<(u64, i64, i64, i64, i64)> {
        let shown = (0..ports)
            .map(|port| (ElementKey(port), (320, 240)))
            .collect();
        let canvas = arrangement.size(&shown);
        let cells = arrangement.cells(canvas, &shown).into_iter();
        cells
            .map(|Cell { port, rect }| (port.0, rect.x, rect.y, rect.width, rect.height))
            .collect()
    }

    #[test]
    fn a_grid_has_as_many_columns_as_rows_or_one_more() {
        let grid = Arrangement::grid(800, 600);
        assert_eq!(rects(&grid, 0), []);
        assert_eq!(rects(&grid, 1), [(0, 0, 0, 800, 600)]);
        assert_eq!(
            rects(&grid, 2),
            [(0, 0, 0, 400, 600), (1, 400, 0, 400, 600)]
        );
        assert_eq!(rects(&grid, 5)[4], (4, 266, 300, 266, 300));
    }

    #[test]
    fn pictures_of_a_blending_hub_lie_over_one_another() {
        let mut hub = Arrangement::blending();
        assert_eq!(rects(&hub, 1), [(0, 0, 0, 640, 480)]);
        hub.set_master(ElementKey(1), 5);
        let half = Place {
            x: 0.75,
            width: 0.5,
            height: 0.5,
            ..WHOLE
        };
        hub.set_port(ElementKey(0), half, 7);
        assert_eq!(
            rects(&hub, 3),
            [
                (2, 0, 0, 320, 240),
                (1, 0, 0, 320, 240),
                (0, 240, 0, 160, 120)
            ]
        );
        hub.forget(ElementKey(1));
        assert_eq!(rects(&hub, 1), [(0, 480, 0, 320, 240)]);
    }

    #[test]
    fn a_layout_puts_the_main_picture_first() {
        let mut hub = Arrangement::grid(1000, 500);
        let mut layout = Layout {
            style: Style::Speaker,
            background: [0; 3],
            main: Some(ElementKey(1)),
            ports: Vec::new(),
        };
        hub.set_layout(layout.clone());
        assert_eq!(
            rects(&hub, 2),
            [(1, 0, 0, 1000, 400), (0, 0, 400, 200, 100)]
        );
        layout.style = Style::PictureInPicture;
        hub.set_layout(layout);
        assert_eq!(
            rects(&hub, 2),
            [(1, 0, 0, 1000, 500), (0, 750, 374, 250, 124)]
        );
    }
}
