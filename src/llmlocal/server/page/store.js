// Conversations, kept in this browser.
const KEY = "llmlocal.conversations";
const CURRENT = "llmlocal.current";

/** All conversations, the latest first. */
export function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((each) => Array.isArray(each?.messages)) : [];
  } catch {
    return [];
  }
}

/** Keeps them; false if there is no room, and then the oldest have to go. */
export function save(conversations) {
  const kept = conversations.filter((each) => each.messages.length > 0);
  while (kept.length) {
    try {
      localStorage.setItem(KEY, JSON.stringify(kept));
      return true;
    } catch {
      kept.pop();
    }
  }
  localStorage.removeItem(KEY);
  return conversations.length === 0;
}

export function create(from = {}) {
  return { id: crypto.randomUUID?.() ?? String(Math.random()), title: "", system: "", messages: [], ...from };
}

/** A conversation that had the first `count` messages of another. */
export function fork(conversation, count) {
  const messages = structuredClone(conversation.messages.slice(0, count));
  return create({ title: conversation.title, system: conversation.system, messages });
}

export const current = {
  get: () => sessionStorage.getItem(CURRENT),
  set: (id) => sessionStorage.setItem(CURRENT, id),
};
