"""The toolchain that flake.nix pins: checks that need neither a network nor nixpkgs."""
