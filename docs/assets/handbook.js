// What the theme's own script leaves out for keyboards and screen readers.
addEventListener("load", () => {
  // Tables that are wider than the window can be scrolled with keys.
  const reach = () => {
    for (const table of document.querySelectorAll(".md-typeset__scrollwrap")) {
      if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
      else table.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", reach);
  reach();
  // The copy button of a block is no place to navigate to.
  for (const buttons of document.querySelectorAll("nav.md-code__nav")) buttons.setAttribute("role", "presentation");
});
