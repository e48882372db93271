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

/** What a start in a zone meets, all its switches taken together. @param {any} zone */
function meets(zone) {
  if (zone.gone) return 'does not answer: each call about it gets 503.';
  const told = `is dry: a start is told so after ${zone.after_seconds} s`;
  if (zone.late_success_seconds !== null) return `${told}, and its machine is up ${zone.late_success_seconds} s later all the same.`;
  return zone.stock_out ? `${told}.` : 'has machines.';
}

/** @param {any} zone */
function zoneItem(zone) {
  const late = zone.late_success_seconds;
  const after = number(zone.after_seconds, `Seconds until ${zone.zone} is told to be dry`,
    (seconds) => turn({ zone: zone.zone, stock_out: true, after_seconds: seconds }));
  after.disabled = !zone.stock_out;
  const later = number(late ?? LATE_SECONDS, `Seconds until the machine in ${zone.zone} is up all the same`,
    (seconds) => turn({ zone: zone.zone, late_success_seconds: seconds }));
  later.disabled = late === null;
  later.min = '1';
  const switches = element('p',
    element('span', choice('Dry, told after', `${zone.zone} is dry`, zone.stock_out, (on) => turn({ zone: zone.zone, stock_out: on })), ' ', after, ' s'),
    element('span', choice('Dry, and up', `${zone.zone} comes up late`, late !== null, (on) => turn({ zone: zone.zone, late_success_seconds: on ? LATE_SECONDS : 0 })), ' ', later, ' s later'),
    element('span', choice('Gone', `${zone.zone} is gone`, zone.gone, (on) => turn({ zone: zone.zone, gone: on }))),
  );
  return element('li', element('strong', zone.zone), ` ${meets(zone)}`, switches);
}

/** A machine that comes up although it was told that there is none does so after this long. */
const LATE_SECONDS = 120;

/** @param {string} text @param {string} name The whole of it, read alone. @param {boolean} on @param {(on: boolean) => void} act */
function choice(text, name, on, act) {
  const box = Object.assign(document.createElement('input'), { type: 'checkbox', checked: on, ariaLabel: name });
  box.addEventListener('change', () => act(box.checked));
  return element('label', box, ` ${text}`);
}

/** @param {number} value @param {string} name @param {(value: number) => void} act */
function number(value, name, act) {
  const input = Object.assign(document.createElement('input'), { type: 'number', min: '0', max: '86400', value: String(value), ariaLabel: name });
  input.addEventListener('change', () => { if (input.reportValidity()) act(input.valueAsNumber); });
  return input;
}

/** @param {any} notice */
function noticeItem(notice) {
  return element('li', element('span', new Date(notice.at).toLocaleTimeString(), ' ', element('code', notice.type)), element('span', notice.data.text));
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
  // A number that somebody is typing stays; what was switched meanwhile is shown with the next change.
  const typing = document.activeElement instanceof HTMLInputElement && document.activeElement.type === 'number';
  if (!(typing && byId('zones').contains(document.activeElement))) byId('zones').replaceChildren(...view.zone_faults.map(zoneItem));
  byId('notices').replaceChildren(...view.notices.toReversed().map(noticeItem));
  byId('no-notices').hidden = view.notices.length > 0;
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
