// How a name, a day and a time are shown: as ledger/records/names.py and verifier/messages.py show them.

const HAN = /^[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3fffd}]+$/u;
const COMPOUND =
  "欧阳司马上官诸葛东方皇甫尉迟公孙慕容令狐宇文长孙司徒司空夏侯轩辕端木百里南宫西门东郭独孤拓跋呼延完颜耶律万俟闻人" +
  "赫连澹台公冶宗政濮阳淳于单于太叔申屠仲孙钟离鲜于闾丘亓官司寇子车颛孙巫马公西漆雕乐正壤驷公良夹谷宰父谷梁段干东门" +
  "南门羊舌微生梁丘左丘第五纳兰叶赫贺兰即墨北宫公羊富察钮祜";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;
const SHANGHAI_MS = 8 * 3_600_000;

/** 张*, 张*丰, 欧阳*丽; 买**·吐**; J*** S***: the whole name is never shown. @param {string} name */
export function maskName(name) {
  if (name.includes("\u00b7")) return name.split("\u00b7").map(maskPart).join("\u00b7");
  if (!HAN.test(name)) {
    const words = name.split(" ").filter(Boolean);
    return words.map((word) => `${[...word][0]}***`).join(" ");
  }
  const letters = [...name];
  const surname = letters.length > 2 && isCompound(letters.slice(0, 2).join("")) ? 2 : 1;
  const hidden = letters.length - surname;
  if (hidden < 1) return "*";
  const given = hidden === 1 ? "*" : "*".repeat(hidden - 1) + letters.at(-1);
  return letters.slice(0, surname).join("") + given;
}

const isCompound = (pair) => COMPOUND.match(/../g).includes(pair);

function maskPart(part) {
  const letters = [...part];
  if (!HAN.test(part)) return `${letters[0] ?? ""}***`;
  return letters[0] + "*".repeat(Math.max(1, letters.length - 1));
}

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
