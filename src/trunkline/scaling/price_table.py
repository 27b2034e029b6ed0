"""List prices, as of a day: data, for ``prices`` to read.

US dollars without taxes, Linux on x86. ``--prices FILE`` takes a JSON file of the same shape and merges it
into this one, region by region. A price that is missing is not guessed: a plan says that it is unknown.

They were copied from public pages that quote the price list, not read from the live list: check the regions
that you pay for. Fargate: aws.amazon.com/fargate/pricing as quoted by vantage.sh and wring.co (March 2026);
EC2: aws.amazon.com/ec2/pricing/on-demand as quoted by instances.vantage.sh. Sizes of a family cost in
proportion to their processors, so that one price per family is enough.
"""

from __future__ import annotations

from typing import Any

TABLE: dict[str, Any] = {
    "as_of": "2026-03",
    "source": "aws.amazon.com/fargate/pricing and /ec2/pricing/on-demand, as quoted by vantage.sh and wring.co",
    "currency": "USD",
    # Share of the on-demand price that a Spot machine costs. Spot prices move by the hour and by the zone; AWS
    # says "up to 90 % off", and a third is what large common sizes have paid over the years. A guess.
    "spot_share": 0.35,
    "regions": {
        # fargate: per vCPU-hour, per GB-hour, per GB-hour of storage above the 20 GB that are free (null: unknown).
        # ec2: per hour and vCPU of the family.
        "us-east-1": {
            "fargate": {"vcpu": 0.04048, "gb": 0.004445, "storage_gb": 0.000111},
            "ec2": {"m5": 0.048, "m6i": 0.048, "m6a": 0.0432, "m7i": 0.0504, "c5": 0.0425, "c6i": 0.0425, "r6i": 0.063},
        },
        "us-east-2": {
            "fargate": {"vcpu": 0.04048, "gb": 0.004445, "storage_gb": 0.000111},
            "ec2": {"m5": 0.048, "m6i": 0.048, "m6a": 0.0432, "m7i": 0.0504, "c5": 0.0425, "c6i": 0.0425, "r6i": 0.063},
        },
        "us-west-2": {
            "fargate": {"vcpu": 0.04048, "gb": 0.004445, "storage_gb": 0.000111},
            "ec2": {"m5": 0.048, "m6i": 0.048, "m6a": 0.0432, "m7i": 0.0504, "c5": 0.0425, "c6i": 0.0425, "r6i": 0.063},
        },
        "eu-west-1": {
            "fargate": {"vcpu": 0.04048, "gb": 0.004445, "storage_gb": None},
            "ec2": {"m5": 0.0535, "m6i": 0.0535, "c5": 0.048, "c6i": 0.0456, "r6i": 0.0705},
        },
        "eu-central-1": {
            "fargate": {"vcpu": 0.04656, "gb": 0.00511, "storage_gb": None},
            "ec2": {"m5": 0.0575, "m6i": 0.0575, "c5": 0.0485, "c6i": 0.0485, "r6i": 0.076},
        },
        "ap-northeast-1": {
            "fargate": {"vcpu": 0.05056, "gb": 0.00553, "storage_gb": None},
            "ec2": {"m5": 0.062, "m6i": 0.062, "c5": 0.0535, "c6i": 0.0535, "r6i": 0.076},
        },
    },
}  # fmt: skip
