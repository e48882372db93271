/**
 * The sign-in form. Draws `state.signIn`; the password is read once, on submit, and kept nowhere.
 *
 * @import { State } from './types.js'
 * @import { SessionKeeper } from './session-keeper.js'
 */
import { byId, setAttribute, setOrHide, setText } from './dom.js';
import { countdown } from './format.js';
import { problemSentence } from './session-logic.js';

const WHY = {
  fresh: '',
  expired: 'You were signed out. Sign in again and you are back where you were.',
  signed_out: 'You are signed out.',
};

/** @param {SessionKeeper} sessions */
export const mountSignIn = (sessions) => {
  const form = byId('sign-in', HTMLFormElement);
  const user = byId('user', HTMLInputElement);
  const password = byId('password', HTMLInputElement);
  const button = byId('sign-in-button', HTMLButtonElement);
  const problem = byId('sign-in-problem', HTMLElement);
  const why = byId('sign-in-why', HTMLElement);

  const submit = async () => {
    if (password.value === '') {
      password.focus();
      return;
    }
    const { value } = password;
    await sessions.signIn(user.value.trim(), value);
    password.value = '';
    if (!form.hidden) password.focus();
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });

  return {
    focus: () => password.focus(),
    /** @param {State} state @param {number} monotonicNow */
    update: ({ signIn, left }, monotonicNow) => {
      const wait = Math.max(0, signIn.retryAt - monotonicNow) / 1_000;
      const said = signIn.problem;
      setText(problem, said ? [`${said.title}.`.replace('..', '.'), problemSentence(said)].join(' ').trim() : '');
      setAttribute(password, 'aria-invalid', String(said !== null));
      setOrHide(why, WHY[left]);
      setAttribute(button, 'aria-disabled', String(signIn.busy || wait > 0));
      setText(button, signIn.busy ? 'Signing in…' : wait > 0 ? `Try again in ${countdown(wait)}` : 'Sign in');
    },
  };
};
