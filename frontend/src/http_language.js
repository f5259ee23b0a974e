import { StreamLanguage } from "@codemirror/language";

const JSON_TOKENS = [
  [/^"(?:[^"\\]|\\.)*"(?=\s*:)/, "propertyName"],
  [/^"(?:[^"\\]|\\.)*"?/, "string"],
  [/^-?\d[\d.eE+-]*/, "number"],
  [/^(?:true|false|null)\b/, "keyword"],
];

/** An HTTP message: header fields, an empty line, and a body that is coloured as JSON. */
export const http = StreamLanguage.define({
  startState: () => ({ isBody: false }),
  blankLine: (state) => {
    state.isBody = true;
  },
  token: (stream, state) => {
    if (!state.isBody) {
      if (stream.sol() && stream.match(/^[\w-]+(?=:)/)) return "propertyName";
      stream.skipToEnd();
      return null;
    }
    for (const [pattern, style] of JSON_TOKENS) if (stream.match(pattern)) return style;
    stream.next();
    return null;
  },
});
