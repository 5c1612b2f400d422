#!/usr/bin/env node
// Times ONNX Runtime on a whole ONNX file: peer.js FILE.onnx SIDE BATCH THREADS SECONDS
// onnxruntime-node must be on NODE_PATH. One line, as `forward time` prints it.
'use strict';
const path = require('path');
const ort = require('onnxruntime-node');

async function main([file, side, batch, threads, seconds]) {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, graphOptimizationLevel: 'all',
  });
  const shape = [Number(batch), 3, Number(side), Number(side)];
  const values = new Float32Array(shape.reduce((a, b) => a * b)).map((_, i) => Math.sin(i * 12.9898) * 2);
  const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', values, shape) };
  const times = [];
  for (let i = 0; i < 3; i++) await session.run(feeds);
  for (const start = performance.now(); times.length < 3 || performance.now() - start < seconds * 1000;) {
    const t = performance.now();
    await session.run(feeds);
    times.push((performance.now() - t) / batch);
  }
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1];
  console.log(`${path.basename(file)} side=${side} batch=${batch} threads=${threads} ` +
    `median_ms=${median.toFixed(3)} pictures_per_s=${(1000 / median).toFixed(1)}`);
}
main(process.argv.slice(2)).catch((e) => { console.error(String(e)); process.exit(1); });
