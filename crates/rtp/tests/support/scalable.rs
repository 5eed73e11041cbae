//! An encoder of scalable streams, as far as its dependency descriptors go (RTP Payload Format For AV1, appendix A).

/// Which spatial layers are predicted from each other.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Between {
    /// Each from the one below: L3T3.
    All,
    /// The same in keyframes only: L3T3_KEY.
    KeyPictures,
    /// None: S3T3.
    Never,
}

/// One frame of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) number: u16,
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) is_key: bool,
    /// Decode targets that have it.
    pub(crate) present: u32,
    /// Numbers of the frames that it is predicted from.
    pub(crate) needs: Vec<u16>,
    template: u8,
    differences: Vec<u32>,
}

/// What templates say.
#[derive(Clone, PartialEq)]
struct Template {
    spatial: u8,
    temporal: u8,
    is_key: bool,
    differences: Vec<u32>,
}

/// The encoder.
pub(crate) struct Encoder {
    spatial: u8,
    temporal: u8,
    between: Between,
    number: u16,
    since_key: u64,
    offset: u8,
    /// Picture numbers in `number` of each temporal layer: the lowest frame of the newest one.
    newest: [u16; 3],
}

impl Encoder {
    pub(crate) fn new(spatial: u8, temporal: u8, between: Between, number: u16) -> Self {
        Self {
            spatial,
            temporal,
            between,
            number,
            since_key: 0,
            offset: 60,
            newest: [0; 3],
        }
    }

    fn targets(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let temporal = self.temporal;
        (0..self.spatial).flat_map(move |s| (0..temporal).map(move |t| (s, t)))
    }

    /// What a frame is for a target: 0 not present, 1 discardable, 2 switch, 3 required.
    fn indication(&self, frame: (u8, u8, bool), target: (u8, u8)) -> u32 {
        let (spatial, temporal, is_key) = frame;
        let is_below = spatial < target.0;
        let is_joined = match self.between {
            Between::All => is_below,
            Between::KeyPictures => is_below && is_key,
            Between::Never => false,
        };
        if temporal > target.1 || !(spatial == target.0 || is_joined) {
            0
        } else if is_key
            || (!is_below
                && temporal < self.temporal.min(target.1 + 1)
                && (temporal == 0 || temporal < target.1))
        {
            2
        } else if is_below {
            3
        } else {
            1
        }
    }

    /// Layer of the picture after so many others, and the layer that it is predicted from.
    fn pattern(&self) -> (u8, u8) {
        match (self.temporal, self.since_key % 4) {
            (1, _) | (2, 0 | 2) | (3, 0) => (0, 0),
            (2, _) | (3, 2) => (1, 0),
            (_, 1) => (2, 0),
            _ => (2, 1),
        }
    }

    fn templates(&self) -> Vec<Template> {
        let step = u32::from(self.spatial);
        let mut templates = Vec::new();
        for spatial in 0..self.spatial {
            let joins = |is_key: bool| match self.between {
                Between::All => spatial > 0,
                Between::KeyPictures => spatial > 0 && is_key,
                Between::Never => false,
            };
            let mut push = |temporal, is_key: bool, before: Option<u32>| {
                let mut differences: Vec<u32> = joins(is_key).then_some(1).into_iter().collect();
                differences.extend(before.map(|pictures| pictures * step));
                templates.push(Template {
                    spatial,
                    temporal,
                    is_key,
                    differences,
                });
            };
            push(0, true, None);
            push(0, false, Some([1, 2, 4][usize::from(self.temporal) - 1]));
            if self.temporal > 1 {
                push(1, false, Some(u32::from(self.temporal) - 1));
            }
            if self.temporal > 2 {
                push(2, false, Some(1));
            }
        }
        templates
    }

    /// The frames of the next picture.
    pub(crate) fn encode(&mut self, is_key: bool) -> Vec<Frame> {
        if is_key {
            self.offset = (self.offset + self.templates().len() as u8) % 64;
            self.since_key = 0;
        } else {
            self.since_key += 1;
        }
        let (temporal, from) = if is_key { (0, 0) } else { self.pattern() };
        let first = self.number;
        let before = first.wrapping_sub(self.newest[usize::from(from)]);
        self.newest[usize::from(temporal)] = first;
        if is_key {
            self.newest = [first; 3];
        }
        let templates = self.templates();
        let mut frames = Vec::new();
        for spatial in 0..self.spatial {
            let number = self.number;
            self.number = self.number.wrapping_add(1);
            let joined = match self.between {
                Between::All => spatial > 0,
                Between::KeyPictures => spatial > 0 && is_key,
                Between::Never => false,
            };
            let mut differences = Vec::new();
            if joined {
                differences.push(1);
            }
            if !is_key {
                differences.push(u32::from(before));
            }
            let kind = (spatial, temporal, is_key);
            let at = templates
                .iter()
                .position(|of| (of.spatial, of.temporal, of.is_key) == kind);
            let targets = self.targets().enumerate();
            frames.push(Frame {
                number,
                spatial,
                temporal,
                is_key,
                present: targets
                    .filter(|(_, target)| self.indication(kind, *target) != 0)
                    .fold(0, |mask, (at, _)| mask | 1 << at),
                needs: differences
                    .iter()
                    .map(|by| number.wrapping_sub(*by as u16))
                    .collect(),
                template: at.expect("every kind of frame has one") as u8,
                differences,
            });
        }
        frames
    }

    /// The descriptor of one packet of a frame.
    pub(crate) fn descriptor(&self, frame: &Frame, is_first: bool, is_last: bool) -> Vec<u8> {
        let templates = self.templates();
        let has_structure = is_first && frame.is_key && frame.spatial == 0;
        let has_custom = templates[usize::from(frame.template)].differences != frame.differences;
        let mut pen = Pen::default();
        pen.put(1, is_first.into()).put(1, is_last.into());
        pen.put(6, u32::from((self.offset + frame.template) % 64));
        pen.put(16, frame.number.into());
        if !has_structure && !has_custom {
            return pen.bytes();
        }
        pen.put(1, has_structure.into()).put(2, 0);
        pen.put(1, has_custom.into()).put(1, 0);
        if has_structure {
            self.structure(&templates, &mut pen);
        }
        if has_custom {
            for difference in &frame.differences {
                pen.put(2, 2).put(8, difference - 1);
            }
            pen.put(2, 0);
        }
        pen.bytes()
    }

    fn structure(&self, templates: &[Template], pen: &mut Pen) {
        let targets = u32::from(self.spatial * self.temporal);
        pen.put(6, self.offset.into()).put(5, targets - 1);
        for two in templates.windows(2) {
            let next = match () {
                () if two[0].spatial != two[1].spatial => 2,
                () if two[0].temporal != two[1].temporal => 1,
                () => 0,
            };
            pen.put(2, next);
        }
        pen.put(2, 3);
        for template in templates {
            let kind = (template.spatial, template.temporal, template.is_key);
            for target in self.targets() {
                pen.put(2, self.indication(kind, target));
            }
        }
        for template in templates {
            for difference in &template.differences {
                pen.put(1, 1).put(4, difference - 1);
            }
            pen.put(1, 0);
        }
        // A chain for each spatial layer; where the chain before was, nobody here asks.
        let chains = u32::from(self.spatial);
        pen.non_symmetric(chains, targets + 1);
        for (spatial, _) in self.targets() {
            pen.non_symmetric(spatial.into(), chains);
        }
        for _ in 0..templates.len() {
            for chain in 0..chains {
                pen.put(4, chain);
            }
        }
        pen.put(1, 1);
        for spatial in 0..self.spatial {
            pen.put(16, (320 << spatial) - 1)
                .put(16, (180 << spatial) - 1);
        }
    }
}

/// Writes bits, highest first.
#[derive(Default)]
struct Pen {
    bits: Vec<bool>,
}

impl Pen {
    fn put(&mut self, count: u32, value: u32) -> &mut Self {
        self.bits
            .extend((0..count).rev().map(|at| value >> at & 1 == 1));
        self
    }

    fn non_symmetric(&mut self, value: u32, end: u32) {
        let width = 32 - end.leading_zeros();
        let short = (1 << width) - end;
        if value < short {
            self.put(width - 1, value);
        } else {
            self.put(width, value + short);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let padded = (0..8).map(|at| bits.get(at).copied().unwrap_or(false));
            padded.fold(0, |byte, bit| byte << 1 | u8::from(bit))
        };
        self.bits.chunks(8).map(byte).collect()
    }
}
