// Photos that were chosen, several of one thing together. They are kept while the page is open.

import { Problem } from "./api.js";
import { notice, number, plural, showNotices, size } from "./dom.js";

const MAX_PHOTOS = 16; // as gateway/http/bodies.py has it
const KEPT = 20;
// The model sees 224 pixels: photos of this side lose it nothing.
const SMALL_SIDE = 1280;
const FORM_BYTES = 1 << 16; // what a form has beside its photos

const chosen = new Map(); // number in the address → {photos: [{file, url}], leftOut: [sentence]}
let next = 1;
let limits = null;

export function learnLimits(known) {
  limits = known;
}

export const photosOf = (id) => chosen.get(id);

// Returns the number under which photos are kept; null if they are refused, which is then told.
export function take(files) {
  if (files.length > MAX_PHOTOS) {
    showNotices(notice("bad", "Those are too many photos.",
      `You chose ${number(files.length)}; a search takes at most ${MAX_PHOTOS}, all of one thing. Choose the best of them.`));
    return null;
  }
  const tooLarge = (file) => limits && file.size > limits.max_image_bytes;
  const leftOut = files.filter(tooLarge).map((file) =>
    `${file.name || "It"} has ${size(file.size)}; the limit is ${size(limits.max_image_bytes)}.`);
  const photos = files.filter((file) => !tooLarge(file));
  if (!photos.length) {
    showNotices(notice("bad", files.length === 1 ? "That photo is too large." : "Those photos are too large.", ...leftOut));
    return null;
  }
  const id = String(next++);
  chosen.set(id, { photos: photos.map((file) => ({ file, url: URL.createObjectURL(file) })), leftOut });
  for (const old of [...chosen.keys()].slice(0, -KEPT)) {
    for (const { url } of chosen.get(old).photos) URL.revokeObjectURL(url);
    chosen.delete(old);
  }
  return id;
}

// The files to send: smaller copies if together they are more than a request may have.
export async function sendable(group) {
  const files = group.photos.map((photo) => photo.file);
  const room = (limits?.max_request_bytes ?? Infinity) - FORM_BYTES;
  if (total(files) <= room) return files;
  group.small ??= inTurn(files, smaller); // once, however often filters change
  const small = await group.small;
  if (total(small) <= room) return small;
  throw new Problem({
    title: "Those photos are too large together",
    detail: `${plural(small.length, "photo")} have ${size(total(small))}; the limit is ${size(room)}. Choose fewer.`,
  });
}

export const total = (files) => files.reduce((sum, file) => sum + file.size, 0);

async function inTurn(files, work) {
  const done = [];
  for (const file of files) done.push(await work(file)); // decoded, each may hold 50 MB
  return done;
}

async function smaller(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, SMALL_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = new OffscreenCanvas(Math.ceil(bitmap.width * scale), Math.ceil(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
    return blob.size < file.size ? new File([blob], file.name, { type: blob.type }) : file;
  } catch {
    return file; // not a photo, or one that this browser does not know
  }
}
