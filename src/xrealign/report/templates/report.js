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
  const tools = document.getElementById("tools");
  const rows = [...document.querySelectorAll("[data-search]")];
  const counted = rows.filter((row) => row.closest("[data-counts]"));
  const languages = (some) => new Set(some.map((row) => row.dataset.search)).size;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.search.includes(word)) &&
        (!group || group.value === "" || row.dataset.groups.split(" ").includes(group.value));
      row.toggleAttribute("hidden", !fits);
    }
    for (const part of document.querySelectorAll(".sifted")) {
      part.hidden = !part.querySelector("[data-search]:not([hidden])");
    }
    const all = languages(counted);
    const shown = languages(counted.filter((row) => !row.hidden));
    document.getElementById("count").textContent =
      shown === all ? all + " languages" : shown + " of " + all + " languages";
  };
  if (tools) {
    search.addEventListener("input", filter);
    if (group) group.addEventListener("change", filter);
    tools.hidden = false;
    filter();
  }

  // A choice such as the model and task: blocks that belong to another one are hidden. Without scripts all are shown.
  const picks = [...document.querySelectorAll("select[data-pick]")];
  const pick = () => {
    for (const block of document.querySelectorAll(".block")) {
      block.hidden = picks.some((one) => {
        const own = block.dataset[one.dataset.pick];
        return own !== undefined && own !== one.value;
      });
    }
    // A method that the chosen table lacks gives way to the first it has.
    for (const one of picks.filter((each) => each.dataset.within)) {
      const table = document.querySelector("select[data-pick=" + one.dataset.within + "]");
      const usable = [...one.options].filter((option) => {
        const there = !table || option.dataset.tables.split(" ").includes(table.value);
        option.hidden = option.disabled = !there;
        return there;
      });
      if (usable.length && one.selectedOptions.length && one.selectedOptions[0].disabled) {
        one.value = usable[0].value;
        pick();
      }
    }
  };
  for (const one of picks) one.addEventListener("change", pick);
  for (const box of document.querySelectorAll(".picks")) box.hidden = false;
  pick();

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
        table.classList.add("sorted");
      });
    });
    const own = [...table.tBodies[0].rows];
    if (own.length > 9 && !own[0].dataset.search) {
      const label = document.createElement("label");
      const input = document.createElement("input");
      label.className = "tools sift small muted";
      input.type = "search";
      input.autocomplete = "off";
      input.addEventListener("input", () => {
        const text = input.value.toLowerCase();
        for (const row of own) row.hidden = !row.textContent.toLowerCase().includes(text);
      });
      label.append("Filter: ", input);
      table.parentElement.before(label);
    }
  }
})();
