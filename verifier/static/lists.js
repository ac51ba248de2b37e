// Follows a list while it is being answered; without script the page reloads itself.
const place = document.getElementById("progress");
const bar = place.querySelector("progress");
const count = document.getElementById("count");

async function look() {
  const answer = await fetch(place.dataset.state, { cache: "no-store" }).catch(() => null);
  if (answer === null) return true;
  if (!answer.ok) return false;
  const state = await answer.json();
  if (state.rows > 0) {
    bar.max = state.rows;
    bar.value = state.done;
    count.textContent = `${state.done} / ${state.rows}`;
  }
  return state.state !== "done" && state.state !== "failed";
}

async function follow() {
  let pause = 400;
  while (await look()) {
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause + 200, 2000);
  }
  location.reload();
}

follow();
