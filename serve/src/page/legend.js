// What the colours and underlines mean.

const LEVELS = ['0.9 and above', 'below 0.9', 'below 0.6', 'below 0.3', 'below 0.1'];
const SHORT = ['≥ .9', '< .9', '< .6', '< .3', '< .1'];

export function draw(root, scale, leaders) {
  const swatch = (className, text, title) => {
    const made = document.createElement('span');
    made.className = `t ${className}`;
    made.textContent = text;
    made.title = title;
    return made;
  };
  root.dataset.scale = scale;
  root.hidden = scale === 'none' || (scale === 'leader' && !leaders.length);
  if (scale === 'leader') root.replaceChildren(...leaders.map((name, place) => swatch(`l${place % 6}`, name, `${name} contributed most`)));
  else root.replaceChildren(...SHORT.map((text, place) => swatch(`${scale[0]}${place}`, text, `${scale} ${LEVELS[place]}`)));
}
