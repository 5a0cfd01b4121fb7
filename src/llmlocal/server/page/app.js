// The page: what is shown, and what happens on a click or a key.
import * as api from "./api.js";
import * as store from "./store.js";
import { editor, fill, messageItem } from "./view.js";

const $ = (id) => document.getElementById(id);
const NUMBERS = ["temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"];

let conversations = store.load();
let shown = conversations.find((each) => each.id === store.current.get()) ?? conversations[0] ?? begin();
let writing = null; // What stops the answer that is being written.

function begin(from) {
  const made = store.create(from);
  conversations.unshift(made);
  return made;
}

function keep() {
  if (!store.save(conversations)) say("This browser has no room left for conversations.", true);
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

// --- Showing --------------------------------------------------------------------------------------

function showAll() {
  store.current.set(shown.id);
  $("system").value = shown.system;
  $("messages").replaceChildren(...shown.messages.map((message, i) => messageItem(message, acts(i))));
  $("conversations").replaceChildren(
    ...conversations
      .filter((each) => each === shown || each.messages.length)
      .map((each) => {
        const item = document.createElement("li");
        const open = document.createElement("button");
        open.type = "button";
        open.textContent = each.title || "New conversation";
        if (each === shown) open.setAttribute("aria-current", "true");
        open.addEventListener("click", () => show(each));
        item.append(open);
        return item;
      }),
  );
  scrollDown(true);
  // What had the focus may have been replaced.
  if (document.activeElement === document.body) $("messages").focus({ preventScroll: true });
}

function show(conversation) {
  stop();
  shown = conversation;
  openNav(false);
  say("");
  showAll();
  $("question").focus();
}

function scrollDown(always) {
  const list = $("messages");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 120;
  if (always || isAtEnd) list.scrollTop = list.scrollHeight;
}

function acts(i) {
  return {
    edit: () =>
      editor($("messages").children[i], shown.messages[i].content, (text) => {
        if (text === null || !text.trim()) return showAll();
        shown.messages.splice(i, Infinity, { role: "user", content: text });
        answer();
      }),
    retry: () => {
      shown.messages.splice(i);
      answer();
    },
    fork: () => {
      const forked = store.fork(shown, i + 1);
      conversations.unshift(forked);
      keep();
      show(forked);
    },
  };
}

// --- Asking ---------------------------------------------------------------------------------------

function settings() {
  const given = NUMBERS.filter((id) => $(id).value !== "").map((id) => [id, Number($(id).value)]);
  return Object.fromEntries(given);
}

function sent(conversation) {
  const system = conversation.system ? [{ role: "system", content: conversation.system }] : [];
  const messages = conversation.messages.map(({ role, content }) => ({ role, content }));
  return [...system, ...messages];
}

async function answer() {
  stop();
  const conversation = shown;
  conversation.title ||= conversation.messages[0]?.content.slice(0, 60) ?? "";
  const body = { model: $("model").value, messages: sent(conversation), ...settings() };
  const message = { role: "assistant", content: "", isWriting: true };
  conversation.messages.push(message);
  showAll();
  const item = $("messages").lastElementChild;
  const stopping = new AbortController();
  writing = stopping;
  $("send").hidden = true;
  $("stop").hidden = false;
  say("Waiting for the first word…");
  let drawing = 0;
  const draw = () => {
    drawing = 0;
    if (shown !== conversation) return;
    fill(item, message, acts(conversation.messages.indexOf(message)));
    scrollDown(false);
  };
  try {
    await write(message, body, stopping.signal, () => (drawing ||= requestAnimationFrame(draw)));
    say("");
    $("spoken").textContent = message.content; // Once, not with each word.
  } catch (error) {
    if (error.name === "AbortError") {
      message.figures = "stopped";
      say("Stopped.");
    } else {
      report(error);
    }
  } finally {
    delete message.isWriting;
    const isEmpty = !message.content && !message.reasoning && !message.calls;
    if (isEmpty) conversation.messages.splice(conversation.messages.indexOf(message), 1);
    if (writing === stopping) finish();
    keep();
    if (shown === conversation) showAll();
  }
}

async function write(message, body, signal, changed) {
  let first = 0;
  for await (const chunk of api.chat(body, signal)) {
    const delta = chunk.choices[0]?.delta;
    first ||= performance.now();
    if (delta) say("");
    if (delta?.content) message.content += delta.content;
    if (delta?.reasoning_content) message.reasoning = (message.reasoning ?? "") + delta.reasoning_content;
    for (const call of delta?.tool_calls ?? []) {
      message.calls ??= [];
      const known = (message.calls[call.index] ??= { name: "", arguments: "" });
      known.name += call.function?.name ?? "";
      known.arguments += call.function?.arguments ?? "";
    }
    if (chunk.usage) message.figures = figures(chunk.usage, (performance.now() - first) / 1000);
    changed();
  }
}

function figures(usage, seconds) {
  const tokens = usage.completion_tokens;
  const rate = tokens > 1 && seconds > 0 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens/s` : "";
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
  return `${tokens} tokens${rate}; prompt ${usage.prompt_tokens}, ${cached} cached`;
}

function report(error) {
  if (error.status === 401) {
    $("key-dialog").showModal();
    return say("This server asks for an API key.", true);
  }
  say(`The answer failed: ${error.message}`, true);
}

function stop() {
  writing?.abort();
  finish();
}

function finish() {
  writing = null;
  $("send").hidden = false;
  $("stop").hidden = true;
}

/** Closes what is open above the conversation; else stops the answer. */
function leave() {
  if ($("settings").open) {
    $("settings").open = false;
    $("settings").firstElementChild.focus();
  } else if ($("nav").classList.contains("open")) {
    openNav(false);
    $("toggle-nav").focus();
  } else if (writing) stop();
}

function openNav(isOpen) {
  $("nav").classList.toggle("open", isOpen);
  $("toggle-nav").setAttribute("aria-expanded", String(isOpen));
}

// --- Clicks and keys ------------------------------------------------------------------------------

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("question").value.trim();
  if (!text || writing) return;
  $("question").value = "";
  shown.messages.push({ role: "user", content: text });
  answer();
});
$("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("ask").requestSubmit();
});
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", () => show(begin()));
$("delete").addEventListener("click", () => {
  if (!confirm("Delete this conversation?")) return;
  conversations = conversations.filter((each) => each !== shown);
  keep();
  $("settings").open = false;
  show(conversations[0] ?? begin());
});
$("system").addEventListener("change", () => {
  shown.system = $("system").value.trim();
  keep();
});
$("toggle-nav").addEventListener("click", () => {
  openNav(true);
  $("new").focus();
});
document.addEventListener("click", (event) => {
  if (!$("nav").contains(event.target) && event.target !== $("toggle-nav")) openNav(false);
  if (!$("settings").contains(event.target)) $("settings").open = false;
});
$("key-dialog").addEventListener("close", () => {
  api.setKey($("key").value);
  listModels();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  if (event.ctrlKey && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    show(begin());
  }
});
addEventListener("pagehide", keep);

async function listModels() {
  try {
    const names = await api.models();
    $("model").replaceChildren(...names.map((name) => new Option(name)));
    say("");
  } catch (error) {
    report(error);
  }
}

showAll();
listModels();
