"""chaoskit: break real clusters as real outages did, and judge from evidence."""
