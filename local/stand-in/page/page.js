// The stand-in's own page, for when the real one is not installed. It speaks the same API as the real one.
const RECONNECT_MS = 300;
const base = location.pathname.replace(/\/[^/]*$/, "");
const at = (id) => document.getElementById(id);

let clientId = sessionStorage.getItem("clientId") ?? "";

/** EmptyImage → ImageBlur × n → PreviewImage */
function graph(blurs, width, height) {
  const prompt = { 1: { class_type: "EmptyImage", inputs: { width, height, batch_size: 1, color: 0x2d6cdf } } };
  for (let id = 2; id < blurs + 2; id += 1) {
    const inputs = { image: [String(id - 1), 0], blur_radius: 31, sigma: 1 };
    prompt[id] = { class_type: "ImageBlur", inputs };
  }
  prompt[blurs + 2] = { class_type: "PreviewImage", inputs: { images: [String(blurs + 1), 0] } };
  return prompt;
}

const post = (path, body) =>
  fetch(`${base}/api${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

async function run(event) {
  event.preventDefault();
  const number = (id) => at(id).valueAsNumber;
  const prompt = graph(number("blurs"), number("width"), number("height"));
  const answer = await post("/prompt", { prompt, client_id: clientId });
  const told = await answer.json();
  at("said").textContent = answer.ok ? `Queued as job ${told.number}.` : `Refused: ${told.error.message}`;
}

function show(output) {
  const image = output.images?.[0];
  if (!image) return;
  at("result").src = `${base}/api/view?${new URLSearchParams(image)}`;
  at("result").alt = `Result: ${image.filename}`;
  at("result").hidden = false;
}

const hear = {
  status(data) {
    if (data.sid) sessionStorage.setItem("clientId", (clientId = data.sid));
    at("queue").textContent = data.status.exec_info.queue_remaining;
  },
  progress(data) {
    at("progress").value = data.value / data.max;
    at("said").textContent = `Node ${data.node}`;
  },
  executed(data) { show(data.output); },
  execution_success() { at("said").textContent = "Done."; },
  execution_interrupted() { at("said").textContent = "Interrupted."; },
  execution_error(data) { at("said").textContent = `Failed: ${data.exception_message}`; },
};

function connect() {
  const url = new URL(`${base}/ws`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("clientId", clientId);
  const socket = new WebSocket(url);
  socket.onopen = () => { at("connection").textContent = "connected"; };
  socket.onmessage = (event) => {
    const { type, data } = JSON.parse(event.data);
    hear[type]?.(data);
  };
  socket.onclose = () => {
    at("connection").textContent = "reconnecting";
    setTimeout(connect, RECONNECT_MS);
  };
}

at("job").addEventListener("submit", run);
at("interrupt").addEventListener("click", () => post("/interrupt", {}));
connect();
