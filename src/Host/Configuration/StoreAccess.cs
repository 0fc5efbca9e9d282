using Microsoft.Extensions.Logging;

namespace ZeroFlow.Host.Configuration;

/// <summary>What it takes to reach a store without serving it.</summary>
/// <param name="StoreUrl">Where it is.</param>
/// <param name="Passphrase">Unlocks it; null only with <paramref name="Embedded"/>, which has one of its own.</param>
/// <param name="Embedded">The embedded default when no store was named, otherwise null.</param>
/// <param name="LogLevel">Least level that is logged.</param>
internal sealed record StoreAccess(string StoreUrl, Secret? Passphrase, EmbeddedDefault? Embedded, LogLevel LogLevel);
