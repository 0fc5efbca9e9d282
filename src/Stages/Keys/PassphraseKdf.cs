using System.Runtime.InteropServices;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Keys;

/// <summary>The cost of guessing a passphrase, stored beside the wrapped key.</summary>
/// <param name="MemoryKib">Memory of one derivation in KiB.</param>
/// <param name="Passes">Passes over that memory.</param>
public sealed record KdfCost(int MemoryKib, int Passes)
{
    /// <summary>64 MiB and two passes: above the second OWASP recommendation (19 MiB, two passes), under a second.</summary>
    public static KdfCost Default { get; } = new(64 * 1024, 2);

    /// <summary>True for costs that this program is willing to pay: a hostile bucket must not make it use all memory.</summary>
    public bool IsAcceptable => MemoryKib is >= 8 and <= 1024 * 1024 && Passes is >= 1 and <= 16;
}

/// <summary>Argon2id (RFC 9106) by the system's libargon2.</summary>
internal static partial class PassphraseKdf
{
    public static void Derive(Passphrase passphrase, ReadOnlySpan<byte> salt, KdfCost cost, Span<byte> key)
    {
        int code;
        try
        {
            code = Argon2IdHashRaw(
                (uint)cost.Passes, (uint)cost.MemoryKib, 1,
                in MemoryMarshal.GetReference(passphrase.Utf8), (nuint)passphrase.Utf8.Length,
                in MemoryMarshal.GetReference(salt), (nuint)salt.Length,
                ref MemoryMarshal.GetReference(key), (nuint)key.Length);
        }
        catch (DllNotFoundException missing)
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                "The library libargon2.so.1 is not installed; on Debian and Ubuntu install the package libargon2-1.",
                missing);
        }

        if (code != 0)
            throw new StorageFaultException(FaultKind.Invalid, $"Argon2id failed with its error code {code}.");
    }

    [LibraryImport("libargon2.so.1", EntryPoint = "argon2id_hash_raw")]
    private static partial int Argon2IdHashRaw(
        uint passes, uint memoryKib, uint lanes, in byte password, nuint passwordLength, in byte salt, nuint saltLength,
        ref byte hash, nuint hashLength);
}
