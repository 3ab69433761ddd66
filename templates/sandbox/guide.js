// Comfort only: where chat and site stand one below the other, the site is shown when it opens a page.
"use strict";

const site = document.getElementById("site");
let isFirst = true;

site.addEventListener("load", () => {
  if (!isFirst && !matchMedia("(width >= 48em)").matches) site.scrollIntoView({ block: "nearest" });
  isFirst = false;
});
