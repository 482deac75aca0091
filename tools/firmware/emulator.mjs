// An emulated Pico whose USB serial port is this process's stdin and stdout; it ends with stdin.
//     node emulator.mjs DIRECTORY_OF_RP2040JS BOOTROM FIRMWARE [PORT]
// PORT: on loopback; UART 0 is connected to it.
import { readFileSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";

const [modules, bootrom, firmware, port] = process.argv.slice(2);
const { Simulator, USBCDC } = createRequire(modules + "/emulator.js")("rp2040js");
const words = (data) => new Uint32Array(new Uint8Array(data).buffer);

const { rp2040: chip, clock } = new Simulator();
const quiet = () => {};
chip.logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
chip.loadBootrom(words(readFileSync(bootrom)));
chip.flash.fill(0xff);
chip.flash.set(readFileSync(firmware), 0);

const serial = new USBCDC(chip.usbCtrl);
const typed = [];
serial.onDeviceConnected = () => typed.push(13); // MicroPython shows its prompt when typed at
serial.onSerialData = (data) => {
  for (let sent = 0; sent < data.length; ) sent += writeSync(1, data, sent);
};
process.stdin.on("data", (data) => {
  for (const byte of data) typed.push(byte);
});
process.stdin.on("end", () => process.exit(0));

const heard = []; // for UART 0
const uart = chip.uart[0];
const [RX, TX, RX_TIMEOUT] = [1 << 4, 1 << 5, 1 << 6];
if (port) {
  // rp2040js asserts the TX interrupt for ever; on a chip it comes when the FIFO has run empty.
  uart.checkInterrupts = () =>
    chip.setInterrupt(uart.irq, !!(uart.interruptStatus & uart.interruptMask));
  const line = connect(Number(port), "127.0.0.1");
  line.setNoDelay(true);
  let said = [];
  uart.onByte = (byte) => {
    said.push(byte);
    uart.interruptStatus |= TX;
    uart.checkInterrupts();
  };
  uart.flush = () => {
    if (said.length) line.write(Uint8Array.from(said));
    said = [];
  };
  line.on("data", (data) => {
    for (const byte of data) heard.push(byte);
  });
  line.on("error", () => process.exit(1));
}

// What comes in from outside, as fast as the chip takes it.
function deliver() {
  // The emulated port holds 512 bytes and drops what is more.
  while (typed.length && serial.txFIFO.itemCount < 256) serial.sendSerialByte(typed.shift());
  if (!port) return;
  while (heard.length && uart.rxFIFO.itemCount < 16) uart.rxFIFO.push(heard.shift());
  if (!uart.rxFIFO.empty) {
    uart.interruptStatus |= RX | RX_TIMEOUT;
    uart.checkInterrupts();
  }
  uart.flush();
}

const start = performance.now();

// Instructions for some time, then whatever happened outside meanwhile. A chip that waits gets its
// next timer at once; with a line it must not, or its deadlines pass before anyone can answer.
function run() {
  let ahead = false;
  for (let turn = 0; turn < 100 && !ahead; turn++) {
    for (let cycles = 0; cycles < 10000 && !ahead; ) {
      if (!chip.core.waiting) {
        const spent = chip.core.executeInstruction();
        clock.tick(spent * 8);
        cycles += spent;
      } else {
        const nanos = clock.nanosToNextAlarm;
        ahead = port && clock.nanos + nanos > (performance.now() - start) * 1e6;
        if (ahead) break;
        clock.tick(nanos);
        cycles += nanos / 8 + 1;
      }
    }
    deliver();
  }
  setTimeout(run, ahead ? 1 : 0);
}

chip.core.PC = 0x10000000;
run();
