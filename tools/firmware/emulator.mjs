// An emulated Pico whose USB serial port is this process's stdin and stdout; it ends with stdin.
//     node emulator.mjs DIRECTORY_OF_RP2040JS BOOTROM FIRMWARE
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, bootrom, firmware] = process.argv.slice(2);
const { Simulator, USBCDC } = createRequire(modules + "/emulator.js")("rp2040js");
const words = (data) => new Uint32Array(new Uint8Array(data).buffer);

const simulator = new Simulator();
const chip = simulator.rp2040;
const quiet = () => {};
chip.logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
chip.loadBootrom(words(readFileSync(bootrom)));
chip.flash.fill(0xff);
chip.flash.set(readFileSync(firmware), 0);

const serial = new USBCDC(chip.usbCtrl);
serial.onSerialData = (data) => {
  for (let sent = 0; sent < data.length; ) sent += writeSync(1, data, sent);
};
const typed = [];
process.stdin.on("data", (data) => typed.push(...data));
process.stdin.on("end", () => process.exit(0));
// The emulated port holds 512 bytes and drops what is more.
setInterval(() => {
  while (typed.length && serial.txFIFO.itemCount < 256) serial.sendSerialByte(typed.shift());
}, 0);

chip.core.PC = 0x10000000;
simulator.execute();
