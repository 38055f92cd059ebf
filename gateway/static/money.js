// Amounts of money as people of this place write them.

import { number } from "./dom.js";

// An unknown currency, or none, leaves a plain number. `rough` amounts of 10 and more have no cents.
export function money(amount, currency, { rough = false } = {}) {
  const digits = rough && amount >= 10 ? 0 : 2;
  if (currency) {
    const whole = rough && amount >= 10 ? { minimumFractionDigits: 0, maximumFractionDigits: 0 } : {};
    try {
      return new Intl.NumberFormat(undefined, {
        style: "currency", currency, trailingZeroDisplay: "stripIfInteger", ...whole,
      }).format(amount);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // what is no code of three letters
    }
  }
  return number(amount, digits);
}
