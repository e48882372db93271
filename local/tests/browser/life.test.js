// The whole life, with the three functions and the pocket cloud in one process.
import { forALife, liveALife } from './harness/life.js';
import { onStage } from './harness/stage.js';

onStage('The life: start, work in ComfyUI, a long job, an announced stop called off, the stop, its receipt, and again',
  forALife, liveALife);
