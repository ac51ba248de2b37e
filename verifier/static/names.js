// How a number, a day and a time are shown: as verifier/messages.py shows them.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
const SHANGHAI_MS = 8 * 3_600_000;

/** A certificate number for reading aloud: `Y 0000 51 001064 25 3 000017`; others as they are. @param {string} number */
export function grouped(number) {
  const parts = /^([A-Z])(\d{4})(\d{2})(\d{6})(\d{2})([0-9A-Z])(\d{6})$/.exec(number);
  return parts ? parts.slice(1).join(" ") : number;
}

/** A civil date of days since 1970: `2026-03-01`, `1 Mar 2026`. @param {number|bigint} day @param {string} lang */
export const sayDay = (day, lang) => say(Number(day) * DAY_MS, lang);

/** Unix milliseconds as wall time of Asia/Shanghai, to the second. @param {number} ms @param {string} lang */
export function sayTime(ms, lang) {
  const local = ms + SHANGHAI_MS;
  const clock = new Date(local).toISOString().slice(11, 19);
  return lang === "zh" ? `${say(local, lang)} ${clock}（UTC+8）` : `${say(local, lang)} ${clock} (UTC+8)`;
}

function say(ms, lang) {
  const iso = new Date(ms).toISOString().slice(0, 10);
  if (lang === "zh") return iso;
  const [year, month, day] = iso.split("-").map(Number);
  return `${day} ${MONTHS[month - 1]} ${year}`;
}

/** The day in Asia/Shanghai of an instant, days since 1970. @param {number} ms */
export const dayOf = (ms) => Math.floor((ms + SHANGHAI_MS) / DAY_MS);
