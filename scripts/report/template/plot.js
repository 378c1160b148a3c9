// The plot takes one stop of the Tab key; arrows move along its bars, and what the one in hand stands for is written below.
(() => {
  const plot = document.getElementById("plot");
  if (!plot) return;
  const bars = [...plot.querySelectorAll(".bar")];
  const readout = document.getElementById("plot-readout");
  readout.hidden = false;

  const tell = (bar) => {
    readout.textContent = bar.getAttribute("aria-label");
  };
  const hold = (bar) => {
    for (const other of bars) other.setAttribute("tabindex", other === bar ? "0" : "-1");
  };
  const moves = {
    ArrowLeft: (at) => at - 1,
    ArrowRight: (at) => at + 1,
    Home: () => 0,
    End: () => bars.length - 1,
  };

  hold(bars[0]);
  bars.forEach((bar, at) => {
    const find = () => bar.dataset.query && queries.show(bar.dataset.query);
    bar.addEventListener("pointerenter", () => tell(bar));
    bar.addEventListener("focus", () => tell(bar));
    bar.addEventListener("click", find);
    bar.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        find();
      }
      if (!(event.key in moves)) return;
      event.preventDefault();
      const next = bars[Math.max(0, Math.min(moves[event.key](at), bars.length - 1))];
      hold(next);
      next.focus();
    });
  });
})();
