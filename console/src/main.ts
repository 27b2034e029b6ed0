/** Starts the console. */
import { mount } from "svelte";

import App from "./App.svelte";
import "virtual:tokens.css";
import "./app.css";
import { startKeys } from "./lib/keys.svelte";
import { startRouter } from "./lib/router.svelte";

startRouter();
startKeys();
const target = document.getElementById("app");
if (target) mount(App, { target });
