// A rule of textlint: a sentence is short, starts with its subject, and has one passive at most.
const { split } = require("sentence-splitter");
const { StringSource } = require("textlint-util-to-string");
const passive = require("passive-voice");

const codeAsOneWord = ({ node, maskValue }) => (node.type === "Code" ? maskValue("x") : undefined);

// The most of each in a sentence; code counts as one word.
const WORDS = 25;
const PASSIVES = 1;
// A statement that starts with one of these has its subject behind the verb, or is a riddle.
const OPENING = /^(What|Whatever|Who|Whoever|Whose|Nor)\b/;

module.exports = (context) => {
    const { Syntax, RuleError, locator, report } = context;
    const check = (node) => {
        const source = new StringSource(node, { replacer: codeAsOneWord });
        // The splitter takes "3. Then" for one sentence.
        for (const sentence of split(source.toString().replace(/\d(?=\.\s)/g, "x"))) {
            if (sentence.type !== "Sentence") continue;
            const text = sentence.raw.trim();
            const counted = text.match(/[\p{L}\p{N}][^\s]*/gu) ?? [];
            const found = passive(text).length;
            const complaints = [
                counted.length > WORDS && `${counted.length} words: split it, ${WORDS} are the most`,
                found > PASSIVES && `${found} passives: say who does what`,
                OPENING.test(text) && !/[?:]$/.test(text) && `"${text.match(OPENING)[0]} …": start with the subject`,
            ];
            const index = source.originalIndexFromIndex(sentence.range[0]) ?? 0;
            for (const complaint of complaints.filter(Boolean)) {
                report(node, new RuleError(`${complaint}: ${text.slice(0, 60)}`, { padding: locator.at(index) }));
            }
        }
    };
    return { [Syntax.Paragraph]: check, [Syntax.TableCell]: check };
};
