// Niceties only: the page is complete without this script.
(function () {
  "use strict";
  var details = function () { return document.querySelectorAll("details"); };
  var reveal = function () {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", function () {
    details().forEach(function (one) { one.open = true; });
  });
  // A log opens where the promise was seen to be broken.
  var centre = function () {
    document.querySelectorAll(".log .here").forEach(function (here) {
      var log = here.parentElement;
      log.scrollTop += here.getBoundingClientRect().top - log.getBoundingClientRect().top - log.clientHeight / 2;
    });
  };
  document.addEventListener("toggle", centre, true);
  reveal();
  centre();
  // A hair line with the time under the pointer, in every drawing with an axis of time.
  document.querySelectorAll("svg[data-start]").forEach(function (svg) {
    var data = svg.dataset, start = +data.start, end = +data.end, left = +data.left, right = +data.right;
    var make = function (name) {
      var one = document.createElementNS(svg.namespaceURI, name);
      one.setAttribute("class", "hair");
      one.setAttribute("visibility", "hidden");
      svg.appendChild(one);
      return one;
    };
    var line = make("line"), text = make("text"), height = svg.viewBox.baseVal.height;
    line.setAttribute("y1", 0);
    line.setAttribute("y2", height - 18);
    text.setAttribute("y", height - 8);
    text.setAttribute("text-anchor", "middle");
    svg.addEventListener("pointermove", function (event) {
      var at = svg.createSVGPoint();
      at.x = event.clientX;
      at.y = event.clientY;
      var x = at.matrixTransform(svg.getScreenCTM().inverse()).x;
      var seen = x >= left && x <= right ? "visible" : "hidden";
      line.setAttribute("visibility", seen);
      text.setAttribute("visibility", seen);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      text.setAttribute("x", x);
      text.textContent = (start + (x - left) / (right - left) * (end - start)).toFixed(3) + " s";
    });
    svg.addEventListener("pointerleave", function () {
      line.setAttribute("visibility", "hidden");
      text.setAttribute("visibility", "hidden");
    });
  });
})();
