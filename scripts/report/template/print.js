// Before printing everything is opened, also where the style cannot do so (Safari before 18.4); afterwards it is as it was.
(() => {
  let closed = [];
  const prepare = (printing) => {
    if (printing) {
      const found = [...document.querySelectorAll("details:not([open])")];
      closed = [...closed, ...found];
      for (const each of found) each.open = true;
    } else {
      for (const each of closed) each.open = false;
      closed = [];
    }
    queries?.print(printing);
  };
  matchMedia("print").addEventListener("change", (event) => prepare(event.matches));
  addEventListener("beforeprint", () => prepare(true));
  addEventListener("afterprint", () => prepare(false));
})();
