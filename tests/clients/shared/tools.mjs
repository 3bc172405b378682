// The functions that the Node clients give the model, and a note of each call that was made.
const calls = [];

export function getWeather({ city }) {
  calls.push(["get_weather", { city }]);
  return `${city}: 21 degrees`;
}

export function getPopulation({ city, year }) {
  calls.push(["get_population", { city, year }]);
  return `${city} in ${year}: 2145906 people`;
}

// The calls since the last time, in order.
export function taken() {
  return calls.splice(0);
}
