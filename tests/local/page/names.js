// What has no name for those who cannot see it, and references that lead nowhere.
() => {
  const named = (element) =>
    element.getAttribute("aria-label") || element.textContent.trim() || element.labels?.[0]?.textContent.trim() ||
    document.getElementById(element.getAttribute("aria-labelledby") ?? "")?.textContent.trim();
  const wanting = [...document.querySelectorAll("button, input, select, [role=meter], [role=slider], [role=region], article, aside, main")]
    .filter((element) => !named(element)).map((element) => element.outerHTML.slice(0, 80));
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const lost = [...document.querySelectorAll("[aria-labelledby], [for]")]
    .flatMap((element) => (element.getAttribute("aria-labelledby") ?? element.getAttribute("for")).split(" "))
    .filter((id) => !document.getElementById(id));
  const levels = [...document.querySelectorAll("h1, h2, h3")].filter((element) => element.checkVisibility()).map((element) => element.tagName);
  const orphans = [...document.querySelectorAll("li")].filter((element) => !element.closest("ul, ol"));
  const cells = [...document.querySelectorAll("th")].filter((element) => !element.scope);
  return {
    wanting, lost, orphans: orphans.length, cells: cells.length,
    twice: ids.filter((id, place) => ids.indexOf(id) !== place),
    headings: [levels.filter((level) => level === "H1").length, levels[0]],
    language: document.documentElement.lang, title: document.title !== "",
  };
}
