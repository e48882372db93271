/**
 * A job that nobody sits at, sent as a script would, from within ComfyUI's page.
 *
 * @import { Page } from 'playwright-core'
 */
import { comfyui } from './person.js';

/**
 * @param {Page} page @param {number} policySeconds How long it takes, before the pace.
 */
export const sendJob = (page, policySeconds) =>
  comfyui(page).locator('body').evaluate(async (_, stand_in_seconds) => {
    const prompt = {
      1: { class_type: 'EmptyImage', inputs: { width: 64, height: 64, batch_size: 1, color: 0 } },
      2: { class_type: 'ImageBlur', inputs: { image: ['1', 0], blur_radius: 1, sigma: 1, stand_in_seconds } },
      3: { class_type: 'PreviewImage', inputs: { images: ['2', 0] } },
    };
    const answer = await fetch('/prompt', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ prompt, client_id: 'a-script' }),
    });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
  }, policySeconds);
