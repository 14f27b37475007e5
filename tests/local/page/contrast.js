// Every text with the contrast to what is behind it, and every colour that something is drawn in; WCAG 2.2, 1.4.3.
() => {
  const numbers = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const contrast = (one, other) => {
    const [high, low] = [light(numbers(one)), light(numbers(other))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (numbers(colour)[3] === 255) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility() || element.closest("svg, noscript")) continue;
    const ratio = contrast(getComputedStyle(element).color, behind(element));
    found.push(["text", walk.currentNode.textContent.trim().slice(0, 40), ratio]);
  }
  const probe = document.body.appendChild(document.createElement("span"));
  const drawn = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  for (const name of ["--ink0", "--ink1", "--ink2", "--ink3", "--ink4", "--ink5", "--line", "--link", "--text", "--bad", "--good"])
    for (const ground of ["--ground", "--raised"])
      found.push(["drawn", name + " on " + ground, contrast(drawn(name), drawn(ground))]);
  probe.remove();
  return found;
}
