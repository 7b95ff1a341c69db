#!/bin/sh
# Makes the files beside this script anew; see README.md. Needs node, snarkjs and circom2.
# usage: make.sh DIR, where DIR holds the node_modules with both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
modules=$(cd "$1/node_modules" && pwd)
snarkjs="node $modules/snarkjs/build/cli.cjs"
circom="node $modules/circom2/cli.js"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$here/two_products.circom" .
echo '{"k": "7", "a": "11", "b": "-13"}' > input.json
for curve in bn128 bls12381; do
    out="$here/$curve"
    mkdir -p "$out"
    $circom two_products.circom --r1cs --wasm --sym --O1 --prime "$curve"
    mv two_products.r1cs circuit.r1cs
    mv two_products.sym circuit.sym
    $snarkjs powersoftau new "$curve" 4 zero.ptau
    $snarkjs powersoftau contribute zero.ptau one.ptau --name=one -e=test
    $snarkjs powersoftau prepare phase2 one.ptau final.ptau
    $snarkjs groth16 setup circuit.r1cs final.ptau initial.zkey
    $snarkjs zkey contribute initial.zkey first.zkey --name="first contribution" -e=test
    $snarkjs zkey beacon first.zkey final.zkey 0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20 10 -n=beacon
    $snarkjs wtns calculate two_products_js/two_products.wasm input.json witness.wtns
    $snarkjs zkey export verificationkey final.zkey verification_key.json
    $snarkjs groth16 prove final.zkey witness.wtns proof.json public.json
    $snarkjs groth16 verify verification_key.json public.json proof.json
    cp circuit.r1cs circuit.sym initial.zkey final.zkey witness.wtns \
        verification_key.json proof.json public.json "$out"
done
