import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  // Relative addresses: the page also works behind a proxy that serves it under a prefix.
  base: "./",
  plugins: [svelte({ configFile: false })],
  build: {
    // The first versions that know light-dark() in CSS.
    target: ["chrome123", "firefox120", "safari17.5"],
    // Files only: the server's content security policy allows no inline script or style.
    assetsInlineLimit: 0,
    modulePreload: false,
  },
});
