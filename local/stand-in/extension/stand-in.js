// Loaded by the real ComfyUI page because /extensions names it. It does two things: shows that this is a stand-in,
// and puts a graph that needs no model in the place of the page's built-in first graph. A graph that somebody saved,
// opened or drew is left alone.
import { app } from "../../scripts/app.js";

const BANNER_TEXT = "Stand-in for ComfyUI: not the real thing";

const node = (id, type, pos, order, inputs, outputs, widgets) => ({
  id, type, pos, size: [270, type === "PreviewImage" ? 300 : 130], flags: {}, order, mode: 0,
  inputs, outputs, properties: { "Node name for S&R": type }, widgets_values: widgets,
});

const image = (links) => [{ name: "IMAGE", type: "IMAGE", links, slot_index: 0 }];

const firstGraph = () => ({
  last_node_id: 3,
  last_link_id: 2,
  nodes: [
    node(1, "EmptyImage", [60, 160], 0, [], image([1]), [768, 512, 1, 0x2d6cdf]),
    node(2, "ImageBlur", [390, 160], 1, [{ name: "image", type: "IMAGE", link: 1 }], image([2]), [31, 1]),
    node(3, "PreviewImage", [720, 160], 2, [{ name: "images", type: "IMAGE", link: 2 }], [], []),
  ],
  links: [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
  groups: [],
  config: {},
  extra: { ds: { scale: 1, offset: [0, 0] } },
  version: 0.4,
});

function showBanner() {
  const banner = document.createElement("div");
  banner.id = "stand-in-banner";
  banner.setAttribute("role", "note");
  banner.textContent = BANNER_TEXT;
  Object.assign(banner.style, {
    position: "fixed", left: "50%", bottom: "12px", transform: "translateX(-50%)", zIndex: "10000",
    padding: "4px 12px", borderRadius: "12px", background: "#8a5a00", color: "#fff",
    font: "13px/1.4 system-ui, sans-serif", pointerEvents: "none",
  });
  document.body.append(banner);
}

app.registerExtension({
  name: "pilotlight.stand-in",
  init() {
    showBanner();
    // Without a graph of its own to load, the page asks for "no graph", which means its built-in one.
    const load = app.loadGraphData.bind(app);
    app.loadGraphData = (graph, ...rest) => load(graph ?? firstGraph(), ...rest);
  },
});
