// How a name is shown: as ledger/records/names.py shows it.

const HAN = /^[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{3fffd}]+$/u;
const COMPOUND =
  "欧阳司马上官诸葛东方皇甫尉迟公孙慕容令狐宇文长孙司徒司空夏侯轩辕端木百里南宫西门东郭独孤拓跋呼延完颜耶律万俟闻人" +
  "赫连澹台公冶宗政濮阳淳于单于太叔申屠仲孙钟离鲜于闾丘亓官司寇子车颛孙巫马公西漆雕乐正壤驷公良夹谷宰父谷梁段干东门" +
  "南门羊舌微生梁丘左丘第五纳兰叶赫贺兰即墨北宫公羊富察钮祜";

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
