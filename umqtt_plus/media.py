"""More media for SleepStore, see sleep.py; RTCMemory is there."""


class Backup:
    """machine.mem_backup(), MicroPython 1.29: 2 to 8 KB on STM32 with backup SRAM, SAMD51, Alif;
    on ESP32 it is what RTCMemory() uses. Backup((0, 1, 2)) of a Pico 2 has 59 bytes, enough for a
    session that owes nothing, with 30 bytes of client_id@server:port; the 28 of a Pico are too
    few. Not for an STM32 without backup SRAM: others use registers there.
    """

    def __init__(self, regions=(0,)):
        from machine import mem_backup

        self.regions = [mem_backup(i) for i in regions]
        self.size = sum(len(r) * r.itemsize for r in self.regions) - 1

    def load(self):
        data = bytearray(self.size + 1)
        i = 0
        for r in self.regions:
            n = r.itemsize
            for x in r:
                data[i : i + n] = x.to_bytes(n, "little")
                i += n
        return bytes(data).rstrip(b"\0")[:-1]

    def save(self, data):
        if data:
            data = data + b"\1"  # where it ends
        i = 0
        for r in self.regions:
            n = r.itemsize
            for j in range(len(r)):  # a slice would crash an ESP32
                r[j] = int.from_bytes(data[i : i + n], "little")
                i += n


class NVS:
    """ESP32's esp32.NVS. Survives a power cut; wears the flash with two writes a sleep."""

    def __init__(self, namespace="umqtt_plus", size=2048):
        import esp32

        self.size = size
        self.nvs = esp32.NVS(namespace)

    def load(self):
        data = bytearray(self.size)
        try:
            return data[: self.nvs.get_blob("session", data)]
        except OSError as e:
            if e.args[0] != -4354:  # ESP_ERR_NVS_NOT_FOUND
                raise

    def save(self, data):
        if data:
            self.nvs.set_blob("session", data)
        elif self.load():
            self.nvs.erase_key("session")
        self.nvs.commit()


class File:
    """A file. Survives a power cut; wears the flash with two writes a sleep."""

    size = 65535

    def __init__(self, path):
        self.path = path

    def load(self):
        try:
            f = open(self.path, "rb")
        except OSError as e:
            if e.args[0] != 2:  # ENOENT
                raise
            return
        data = bytearray(f.seek(0, 2))
        f.seek(0)
        f.readinto(data)
        f.close()
        return data

    def save(self, data):
        import os

        path = self.path
        if data:
            f = open(path + ".new", "wb")
            n = f.write(data)
            f.flush()
            f.close()
            if n != len(data):
                raise OSError(28)  # ENOSPC
            os.rename(path + ".new", path)
        elif self.load():
            os.remove(path)
