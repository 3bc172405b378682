// What the scripts of all Node clients share: the texts that are asked, and telling what came of each scenario.
import { readFileSync } from "node:fs";

// The header that tells how an answer went on from the history.
export const CONTINUITY = "x-parley-continuity";

export const TEXTS = JSON.parse(readFileSync(new URL("scenarios.json", import.meta.url), "utf8"));

// Run each scenario, whatever becomes of the others; print one JSON object of what they tell, by name.
export async function run(packages, scenarios) {
  const told = { version: packages.map(version).join(" + ") };
  for (const [name, scenario] of Object.entries(scenarios)) {
    try {
      told[name] = await scenario();
    } catch (error) {
      told[name] = { failed: String(error?.stack ?? error) };
    }
  }
  process.stdout.write(JSON.stringify(told));
}

function version(dependency) {
  const file = new URL(`node_modules/${dependency}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")).version;
}

// What a program sees of an error: its class, and what the class offers.
export function error(raised) {
  const { status, statusCode, code, message } = raised;
  return { class: raised.constructor.name, status: status ?? statusCode, code, message };
}
