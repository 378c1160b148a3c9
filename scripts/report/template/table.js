"use strict";

// A table's rows in one order, by one condition, a page at a time. `compare` and `keep` are functions of rows; `draw` shows some of them.
class Pages {
  constructor(rows, size, draw) {
    this.rows = rows;
    this.size = size;
    this.draw = draw;
    this.found = rows;
    this.at = 0;
  }

  sort(compare) {
    this.rows = [...this.rows].sort(compare);
  }

  filter(keep) {
    this.found = this.rows.filter(keep);
    this.go(0);
  }

  go(at) {
    this.at = Math.max(0, Math.min(at, this.found.length - 1));
    this.draw(this.found.slice(this.at, this.at + this.size));
  }

  get isFirst() {
    return this.at === 0;
  }

  get isLast() {
    return this.at + this.size >= this.found.length;
  }

  get place() {
    const last = Math.min(this.at + this.size, this.found.length);
    const of = this.found.length === this.rows.length ? "" : ` found, ${this.rows.length.toLocaleString("en")} in all`;
    return this.found.length ? `${(this.at + 1).toLocaleString("en")}–${last.toLocaleString("en")} of ${this.found.length.toLocaleString("en")}${of}` : `nothing found, ${this.rows.length.toLocaleString("en")} in all`;
  }
}

// What is not there comes last, whichever way the column is sorted.
function comparing(value, down) {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const sign = down ? -1 : 1;
  return (a, b) => {
    const [one, other] = [value(a), value(b)];
    const [no, neither] = [one === null || one === "", other === null || other === ""];
    if (no || neither) return no - neither;
    return sign * (typeof one === "string" ? collator.compare(one, other) : one - other);
  };
}

// As people type: without regard to case and accents.
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
