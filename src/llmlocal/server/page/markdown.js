// Markdown as DOM nodes.  What a model writes is text, and never becomes HTML: nodes are made one by
// one, and their content is only ever set as text.

/** The nodes for a text; an unfinished text gives what it would be if it ended here. */
export function markdown(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, "\n").split("\n")));
  return fragment;
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** What scrolls sideways by itself where there is not room enough. */
function box(name, content) {
  const made = element("div", content);
  made.className = name;
  return made;
}

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const ROW = /^\s*\|(.+)\|\s*$/;
const ROW_RULE = /^\s*\|(\s*:?-+:?\s*\|)+\s*$/;

function* blocks(lines) {
  let at = 0;
  const isPlain = (line) =>
    line.trim() && ![FENCE, HEADING, RULE, ITEM, QUOTE].some((kind) => kind.test(line));
  const take = (matches) => {
    const from = at;
    while (at < lines.length && matches(lines[at])) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at];
    let found;
    if (!line.trim()) {
      at++;
    } else if ((found = FENCE.exec(line))) {
      at++;
      const body = take((each) => !(each.trim().startsWith(found[1]) && each.trim() === found[1]));
      at++;
      const code = element("code", body.join("\n"));
      if (found[2]) code.dataset.language = found[2];
      yield box("code", element("pre", code));
    } else if ((found = HEADING.exec(line))) {
      at++;
      yield element(`h${Math.min(found[1].length + 1, 6)}`, ...inline(found[2]));
    } else if (RULE.test(line)) {
      at++;
      yield element("hr");
    } else if (QUOTE.test(line)) {
      yield element("blockquote", ...blocks(take((each) => QUOTE.test(each)).map((each) => QUOTE.exec(each)[1])));
    } else if (ITEM.test(line)) {
      yield list(take((each) => ITEM.test(each) || /^\s{2,}\S/.test(each)));
    } else if (ROW.test(line) && ROW_RULE.test(lines[at + 1] ?? "")) {
      yield table(take((each) => ROW.test(each)));
    } else {
      const paragraph = take(isPlain);
      if (!paragraph.length) paragraph.push(lines[at++]);
      yield element("p", ...inline(paragraph.join("\n")));
    }
  }
}

function list(lines) {
  const first = ITEM.exec(lines[0]);
  const indent = first[1].length;
  const isOrdered = /\d/.test(first[2]);
  const made = element(isOrdered ? "ol" : "ul");
  if (isOrdered) made.start = parseInt(first[2], 10);
  let item = [];
  const finish = () => {
    if (!item.length) return;
    const [head, ...rest] = item;
    const inner = rest.length ? [...blocks(unindented(rest))] : [];
    made.append(element("li", ...inline(head), ...inner));
    item = [];
  };
  for (const line of lines) {
    const found = ITEM.exec(line);
    if (found && found[1].length <= indent) {
      finish();
      item = [found[3]];
    } else {
      item.push(line);
    }
  }
  finish();
  return made;
}

function unindented(lines) {
  const indent = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent));
}

function table(lines) {
  const cells = (line) => ROW.exec(line)[1].split("|").map((cell) => cell.trim());
  const sides = cells(lines[1]).map((rule) =>
    rule.endsWith(":") ? (rule.startsWith(":") ? "center" : "right") : "",
  );
  const cell = (kind, text, side) => {
    const made = element(kind, ...inline(text));
    if (side) made.dataset.align = side;
    return made;
  };
  const row = (line, kind) => element("tr", ...cells(line).map((text, i) => cell(kind, text, sides[i])));
  const [head, , ...body] = lines;
  const made = element(
    "table",
    element("thead", row(head, "th")),
    element("tbody", ...body.map((line) => row(line, "td"))),
  );
  return box("table", made);
}

const INLINE =
  /(?<code>(`+)(?!`)([\s\S]+?)(?<!`)\2(?!`))|(?<strong>\*\*(?=\S)([\s\S]+?)(?<=\S)\*\*)|(?<em>(?<![\w*])[*_](?=\S)([^*_\n]+?)(?<=\S)[*_](?![\w*]))|(?<del>~~(?=\S)([\s\S]+?)(?<=\S)~~)|(?<link>\[([^\]\n]+)\]\((https?:\/\/[^\s)]+)\))|(?<url>https?:\/\/[^\s<>"')\]]+)/;

function inline(text) {
  const nodes = [];
  for (let found; (found = INLINE.exec(text)); text = text.slice(found.index + found[0].length)) {
    nodes.push(text.slice(0, found.index));
    const { code, strong, em, del, link } = found.groups;
    if (code) nodes.push(element("code", found[3].trim()));
    else if (strong) nodes.push(element("strong", ...inline(found[5])));
    else if (em) nodes.push(element("em", ...inline(found[7])));
    else if (del) nodes.push(element("del", ...inline(found[9])));
    else if (link) nodes.push(anchor(found[12], found[11]));
    else nodes.push(anchor(found[0], found[0]));
  }
  nodes.push(text);
  return nodes.filter((node) => node !== "");
}

function anchor(href, text) {
  const made = element("a", text);
  made.href = href;
  made.rel = "noopener noreferrer nofollow";
  made.target = "_blank";
  return made;
}
