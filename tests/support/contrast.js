// Texts of a page whose contrast is below 4.5 to 1, as WCAG 2.2 reckons it (success criterion 1.4.3).
() => {
  const parse = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const light = (color) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (front, back) => {
    const alpha = front[3] ?? 1;
    return [0, 1, 2].map((part) => front[part] * alpha + back[part] * (1 - alpha));
  };
  const behind = (node) => {
    const layers = [];
    for (let each = node; each; each = each.parentElement) layers.unshift(parse(getComputedStyle(each).backgroundColor));
    return layers.reduce((back, layer) => over(layer, back), [255, 255, 255]);
  };
  const seen = (node) => {
    let opacity = 1;
    for (let each = node; each; each = each.parentElement) opacity *= getComputedStyle(each).opacity;
    return opacity;
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    const box = node.getBoundingClientRect();
    if (!texts.currentNode.data.trim() || box.width < 2 || !node.checkVisibility() || node.closest("svg, script, .unseen")) continue;
    const style = getComputedStyle(node);
    const back = behind(node);
    const front = parse(style.color);
    const ink = light(over([...front.slice(0, 3), (front[3] ?? 1) * seen(node)], back));
    const paper = light(back);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return poor;
}
