// The table of queries: sorted by its headings, searched, and shown in pages. Every text goes in as text, never as markup.
const queries = (() => {
  const table = document.getElementById("queries-table");
  if (!table) return null;
  const PAGE = 100;
  const MOST_PRINTED = 1000;
  const part = (name) => document.getElementById(`queries-${name}`);
  const data = JSON.parse(part("data").textContent);
  const body = table.tBodies[0];
  const model = part("row").content.querySelector("tr");

  const change = ([ours, theirs]) => (ours === null || theirs === null ? null : Math.round((ours - theirs) * 1e6) / 1e6);
  const rows = data.rows.map(([id, text, weight, slices, figures, missed]) => {
    const named = slices.map((at) => data.slices[at]).join(", ");
    const row = { id, text, slices: named, missed, label: weight === 1 ? id : `${id} · weight ${+weight.toPrecision(6)}`, found: folded(`${text} ${id} ${named}`) };
    figures.forEach((pair, at) => {
      [row[`c${at}`], row[`p${at}`], row[`d${at}`]] = [pair[0], pair[1], change(pair)];
    });
    return row;
  });

  const measure = (value) => (value === null ? "–" : value.toFixed(4));
  const signed = (value) => {
    if (value === null) return "–";
    const digits = Math.abs(value).toFixed(4);
    return +digits === 0 ? "0.0000" : (value < 0 ? "−" : "+") + digits;
  };

  function drawn(row) {
    const line = model.cloneNode(true);
    for (const cell of line.querySelectorAll("[data-cell]")) {
      const name = cell.dataset.cell;
      if (name === "id") cell.textContent = row.label;
      else if (name[0] === "d") {
        const inner = cell.firstElementChild;
        inner.textContent = signed(row[name]);
        inner.className = row[name] > 0 ? "gain" : row[name] < 0 ? "loss" : "same";
      } else if (/^[cp]\d/.test(name)) cell.textContent = measure(row[name]);
      else cell.textContent = row[name];
    }
    return line;
  }

  const pages = new Pages(rows, PAGE, (shown) => {
    body.replaceChildren(...shown.map(drawn));
    part("count").textContent = pages.place;
    part("back").disabled = pages.isFirst;
    part("on").disabled = pages.isLast;
  });

  const kinds = {
    all: () => true,
    worse: (row) => row.d0 < 0,
    better: (row) => row.d0 > 0,
    same: (row) => row.d0 === 0,
    missed: (row) => row.missed !== "",
  };

  function filter() {
    const words = folded(part("find").value).split(/\s+/).filter(Boolean);
    const kind = kinds[part("show").value];
    pages.filter((row) => kind(row) && words.every((word) => row.found.includes(word)));
  }

  function sort(heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const name = heading.dataset.sort;
    pages.sort(comparing((row) => row[name], down));
    filter();
  }

  for (const heading of table.querySelectorAll("[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sort(heading));
  }
  part("find").addEventListener("input", filter);
  part("show").addEventListener("input", filter);
  part("back").addEventListener("click", () => pages.go(pages.at - PAGE));
  part("on").addEventListener("click", () => pages.go(pages.at + PAGE));
  part("cut")?.remove();
  part("controls").hidden = false;
  if (rows.length <= PAGE) part("back").parentElement.hidden = true;
  filter();

  return {
    show(id) {
      const row = rows.find((each) => each.id === id);
      part("show").value = "all";
      part("find").value = row.text;
      filter();
      part("find").focus();
      table.scrollIntoView({ block: "nearest" });
    },
    print(printing) {
      pages.size = printing ? MOST_PRINTED : PAGE;
      pages.go(printing ? 0 : pages.at);
    },
  };
})();
