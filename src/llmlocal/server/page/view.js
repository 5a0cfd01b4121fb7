// Messages on the page.
import { markdown } from "./markdown.js";

const ROLES = { user: "You", assistant: "Answer", tool: "Tool" };

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

/** A button that puts a text into the clipboard; nothing where the browser has none for this page. */
function copying(label, text) {
  if (!navigator.clipboard) return [];
  const made = button("Copy", label, async () => {
    await navigator.clipboard.writeText(text);
    made.textContent = "Copied";
    setTimeout(() => (made.textContent = "Copy"), 1500);
  });
  return [made];
}

function folded(kind, title, body) {
  const made = document.createElement("details");
  made.className = kind;
  const summary = document.createElement("summary");
  summary.textContent = title;
  made.append(summary, body);
  return made;
}

function plain(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** The item for a message; `acts` are what its buttons do. */
export function messageItem(message, acts) {
  const item = document.createElement("li");
  item.className = `message ${message.role}`;
  fill(item, message, acts);
  return item;
}

/** Shows a message in its item anew, as when more of it has come. */
export function fill(item, message, acts) {
  const wasOpen = item.querySelector(".reasoning")?.open ?? false;
  item.replaceChildren(plain("div", ROLES[message.role] ?? message.role));
  item.firstChild.className = "role";
  if (message.reasoning) {
    const reasoning = folded("reasoning", "Reasoning", plain("div", message.reasoning));
    reasoning.open = wasOpen;
    item.append(reasoning);
  }
  const text = document.createElement("div");
  text.className = "text";
  text.append(message.role === "assistant" ? markdown(message.content) : message.content);
  item.append(text);
  if (!message.isWriting) {
    for (const code of text.querySelectorAll(".code")) {
      code.append(...copying("Copy this code", code.textContent));
    }
  }
  for (const call of message.calls ?? []) {
    item.append(folded("call", `Calls ${call.name}`, plain("pre", indented(call.arguments))));
  }
  item.append(tools(message, acts));
}

/** JSON on several lines; what is no JSON, or not yet, as it is. */
function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function tools(message, acts) {
  const bar = document.createElement("div");
  bar.className = "tools";
  if (message.isWriting) return bar;
  bar.append(...copying("Copy this message", message.content));
  if (message.role === "user") bar.append(button("Edit", "Edit this message and ask again", acts.edit));
  if (message.role === "assistant") bar.append(button("Retry", "Answer again", acts.retry));
  bar.append(button("Fork", "Go on from here in a new conversation", acts.fork));
  if (message.figures) bar.append(plain("span", message.figures));
  return bar;
}

/** Puts a field for another text into a message's item. */
export function editor(item, text, done) {
  const field = document.createElement("textarea");
  field.value = text;
  field.rows = Math.min(text.split("\n").length + 1, 12);
  field.setAttribute("aria-label", "Edit the message");
  const save = button("Ask again", "Ask again", () => done(field.value));
  const cancel = button("Cancel", "Leave it as it was", () => done(null));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") done(null);
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      done(field.value);
    }
  });
  item.replaceChildren(field, save, cancel);
  field.focus();
}
