// Before anything is drawn: the theme that was chosen here the last time; none: as the system has it.
{
  let chosen = null;
  try { chosen = localStorage.getItem("corral-theme"); } catch { /* storage is turned off */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
