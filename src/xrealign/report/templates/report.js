"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => {
    toggle.textContent = isDark() ? "Light" : "Dark";
    toggle.setAttribute("aria-label", "Switch to " + (isDark() ? "light" : "dark") + " colours");
  };
  // Storage may be refused for pages opened from the file system: the choice then lasts as long as the page.
  try { const kept = localStorage.getItem("xrealign-theme"); if (kept) root.dataset.theme = kept; } catch { }
  toggle.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("xrealign-theme", root.dataset.theme); } catch { }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();
  toggle.hidden = false;

  const search = document.getElementById("search");
  const group = document.getElementById("group");
  const rows = [...document.querySelectorAll("[data-search]")];
  const count = document.getElementById("count");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.search.includes(word)) &&
        (group.value === "" || row.dataset.groups.split(" ").includes(group.value));
      row.hidden = !fits;
      if (fits && row.tagName === "TR") shown += 1;
    }
    for (const part of document.querySelectorAll(".sifted")) {
      part.hidden = !part.querySelector("[data-search]:not([hidden])");
    }
    const all = rows.filter((row) => row.tagName === "TR").length;
    count.textContent = shown === all ? all + " languages" : shown + " of " + all + " languages";
  };
  search.addEventListener("input", filter);
  group.addEventListener("change", filter);
  document.getElementById("tools").hidden = false;
  filter();

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("num");
        const before = head.getAttribute("aria-sort");
        const way = before ? (before === "descending" ? 1 : -1) : (numeric ? -1 : 1);
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        const key = (row) => row.cells[column].dataset.v;
        const body = table.tBodies[0];
        const compare = numeric
          ? (a, b) => way * (Number(key(a)) - Number(key(b)))
          : (a, b) => way * key(a).localeCompare(key(b));
        const sorted = [...body.rows].sort((a, b) => {
          const [left, right] = [key(a) === "", key(b) === ""];
          // What is missing stays last, whichever way the rest is sorted.
          return left || right ? Number(left) - Number(right) : compare(a, b);
        });
        body.append(...sorted);
      });
    });
  }
})();
