/** Dialogs on the page: one at a time, a later one waits for the answer to the earlier one. */

const dialog = document.getElementById("dialog");
const title = document.getElementById("dialogTitle");
const text = document.getElementById("dialogText");
const hint = document.getElementById("dialogHint");
const actions = document.getElementById("dialogActions");

let turn = Promise.resolve();

/**
 * Shows a dialog and resolves to the value of the chosen action; Escape chooses the last one.
 *
 * @param {{title: string, text: string, hint?: string}} content what to say, and what can be done about it
 * @param {{label: string, value: string}[]} choices buttons, the recommended one first
 * @returns {Promise<string>}
 */
export function ask(content, choices) {
  const answer = turn.then(() => show(content, choices));
  turn = answer.then(() => undefined);
  return answer;
}

/** Closes the dialog that is open, if any, as Escape would. */
export function dismiss() {
  if (dialog.open) {
    dialog.close("");
  }
}

function show(content, choices) {
  title.textContent = content.title;
  text.textContent = content.text;
  hint.textContent = content.hint ?? "";
  const buttons = choices.map(({ label, value }, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = index === 0 ? "button button-primary" : "button";
    button.textContent = label;
    button.dataset.value = value;
    button.addEventListener("click", () => dialog.close(value));
    return button;
  });
  // The recommended action stands last, where the reading ends, and has the focus.
  actions.replaceChildren(...[...buttons].reverse());
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "" ? choices[choices.length - 1].value : dialog.returnValue),
      { once: true },
    );
    dialog.returnValue = "";
    dialog.showModal();
    buttons[0].focus();
  });
}
