"use strict";
// Long tables get a box to filter their rows. Without this script they are simply complete.
for (const frame of document.querySelectorAll(".table.long")) {
  const rows = [...frame.querySelectorAll("tbody tr")];
  const wrong = rows.filter((row) => row.matches(".bad, .warn"));
  const bar = document.createElement("div");
  bar.className = "filter";
  const box = document.createElement("input");
  box.type = "search";
  box.placeholder = "Filter rows";
  box.setAttribute("aria-label", "Filter rows");
  const only = document.createElement("input");
  only.type = "checkbox";
  const label = document.createElement("label");
  label.append(only, "only what went wrong");
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  bar.append(box, ...(wrong.length > 0 && wrong.length < rows.length ? [label] : []), count);
  frame.before(bar);
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(words.every((word) => text.includes(word)) && (!only.checked || wrong.includes(row)));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  box.addEventListener("input", show);
  only.addEventListener("change", show);
  show();
}
// A link to something folded unfolds it; a print shows everything.
const unfold = () => document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
