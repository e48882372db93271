// The pocket cloud's panel: shows what runs once a second while it is looked at, and turns the switches.

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @param {string} tag @param {(string | Node)[]} children */
function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

/** @param {string} text @param {() => void} act */
function button(text, act) {
  const made = element('button', text);
  made.addEventListener('click', act);
  return made;
}

/** @param {object} fault */
async function turn(fault) {
  const answer = await fetch('/local/faults', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fault),
  });
  byId('message').textContent = answer.ok ? 'Done.' : (await answer.json()).detail;
  await refresh();
}

/** @param {any} vm */
function row(vm) {
  const gateway = vm.gateway ? element('code', vm.gateway) : '–';
  const faults = element('span');
  if (vm.status === 'RUNNING') {
    faults.append(
      button('Preempt', () => turn({ instance: vm.instance, preempt: true })),
      ' ',
      button('Host error', () => turn({ instance: vm.instance, host_error: true })),
    );
  }
  const cells = [vm.instance + (vm.spot ? ' (Spot)' : ''), vm.zone, vm.status, vm.disks.join(', ') || '–', gateway, vm.pid ?? '–', faults];
  return element('tr', ...cells.map((cell) => element('td', typeof cell === 'number' ? String(cell) : cell)));
}

/** @param {any} view @param {string} zone */
function zoneItem(view, zone) {
  const dry = choice('is dry', view.dry_zones.includes(zone), (on) => turn({ zone, stock_out: on }));
  const late = choice('says so and gives two minutes later', view.late_zones.includes(zone),
    (on) => turn({ zone, late_success_seconds: on ? 120 : 0 }));
  const gone = choice('is gone', view.gone_zones.includes(zone), (on) => turn({ zone, gone: on }));
  return element('li', `${zone}: `, dry, ' ', late, ' ', gone);
}

/** @param {string} text @param {boolean} on @param {(on: boolean) => void} act */
function choice(text, on, act) {
  const box = Object.assign(document.createElement('input'), { type: 'checkbox', checked: on });
  box.addEventListener('change', () => act(box.checked));
  return element('label', box, ` ${text}`);
}

/** Fills a form that nobody is typing in. @param {string} id @param {any} values */
function fill(id, values) {
  const form = /** @type {HTMLFormElement} */ (byId(id));
  if (form.contains(document.activeElement)) return;
  for (const input of form.querySelectorAll('input')) {
    if (input.type === 'checkbox') input.checked = values[input.name];
    else input.value = String(values[input.name]);
  }
}

/** @type {string} */
let shown = '';

async function refresh() {
  const answer = await fetch('/local', { headers: { accept: 'application/json' } });
  const text = await answer.text();
  if (text === shown) return;
  shown = text;
  const view = JSON.parse(text);
  byId('vms').replaceChildren(...view.vms.map(row));
  byId('zones').replaceChildren(...view.zones.map((/** @type {string} */ zone) => zoneItem(view, zone)));
  byId('queue-state').textContent = Object.entries(view.queue).filter(([, value]) => typeof value === 'number')
    .map(([name, value]) => `${name}: ${value}`).join(' · ');
  fill('queue', view.faults);
  fill('compute', view.faults);
  /** @type {Record<string, string>} */
  const addresses = { 'Compute Engine': view.compute, 'Metadata server': view.metadata, Project: view.project, Speed: `${view.speed}×` };
  // Where they are processes.
  for (const { name, pid, address } of view.functions ?? []) addresses[`${name}, process ${pid ?? '–'}`] = address;
  byId('addresses').replaceChildren(
    ...Object.entries(addresses).flatMap(([name, value]) => [element('dt', name), element('dd', element('code', value))]),
  );
}

for (const id of ['queue', 'compute']) {
  byId(id).addEventListener('submit', (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const values = [...form.querySelectorAll('input')].map((input) => [input.name, input.type === 'checkbox' ? input.checked : input.valueAsNumber]);
    turn({ [id]: Object.fromEntries(values) });
  });
}

setInterval(() => {
  if (document.visibilityState === 'visible') refresh().catch(() => { byId('message').textContent = 'The pocket cloud does not answer.'; });
}, 1000);
refresh();
